#!/bin/sh
# Measures how the first proposals of every CoMod model in git's history look: docs/results/curve.sh FOLDER, which holds the
# archives of pictures. The very first ones, of an older architecture, can no longer be read.
set -e
data=$1 out=docs/results work=${WORK:-runs/curve} python=${PYTHON:-python}

for model in comod-celeba-64:celeba64 comod-celeba-128:celeba128 comod-svhn-64:svhn32 comod-cars-64:cars64 \
    comod-cars-128:cars128; do
    archive=$data/${model#*:}-test.zip model=${model%:*}
    for commit in $(git log --reverse --format=%h -- hub_models/$model/model.safetensors); do
        mkdir -p "$work/$commit"
        git archive $commit hub_models/$model | tar -x -C "$work/$commit"
        $python -m train looks --model "$work/$commit/hub_models/$model" --data "$archive" --proposal --masks center half \
            --out $out/curve.csv || echo "$commit: not measured"
    done
done
