#!/bin/sh
# Draws the figures of docs/figures.md: docs/results/figures.sh FOLDER, which holds the archives of pictures.
# The evaluations go on where they stopped.
set -e
data=$1 out=docs/results/figures work=${WORK:-runs/figures} python=${PYTHON:-python}

for set in celeba:celeba64 svhn:svhn32; do
    name=${set%:*} archive=${set#*:}
    $python -m train evaluate --model hub_models/dcgan-$name --comod hub_models/comod-$name-64 \
        --data "$data/$archive-test.zip" --bank "$data/$archive-train.zip" --images 6 --steps 1500 --masks center half random \
        --methods ours no-blend no-prior tv low_rank patchmatch nearest default comod --out "$work/$name"
    for figure in center half random center-errors; do
        cp "$work/$name/$figure.png" "$out/$name-$figure.png"
    done
done
$python -m train gallery --model dcgan-celeba --data "$data/celeba64-test.zip" --out $out
for model in comod-celeba-128:celeba128 comod-celeba-64:celeba64 comod-svhn-64:svhn32; do
    $python -m train gallery --model "${model%:*}" --data "$data/${model#*:}-test.zip" --steps 0 --out $out
done
