#!/bin/sh
# Draws the figures of docs/figures.md: docs/results/figures.sh FOLDER, which holds the archives of pictures.
# The evaluation goes on where it stopped.
set -e
data=$1 out=docs/results/figures work=${WORK:-runs/figures} python=${PYTHON:-python}

$python -m train evaluate --model hub_models/dcgan-celeba --comod hub_models/comod-celeba-64 \
    --data "$data/celeba64-test.zip" --bank "$data/celeba64-train.zip" --images 6 --steps 1500 --masks center \
    --methods ours no-blend no-prior tv low_rank patchmatch nearest default comod --out "$work"
for figure in center center-errors; do
    cp "$work/$figure.png" "$out/celeba-$figure.png"
done
$python -m train gallery --model dcgan-celeba --data "$data/celeba64-test.zip" --out $out  # the search; its sheet is not shown
for model in comod-celeba-128:celeba128 comod-celeba-64:celeba64 comod-svhn-64:svhn32 comod-cars-128:cars128 comod-cars-64:cars64; do
    $python -m train gallery --model "${model%:*}" --data "$data/${model#*:}-test.zip" --steps 0 --out $out
done
