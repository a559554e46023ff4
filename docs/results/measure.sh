#!/bin/sh
# Measures what README, docs and cards say: docs/results/measure.sh FOLDER, which holds the archives of pictures.
# It goes on where it stopped. Times mean something only on a machine that does nothing else.
set -e
data=$1 out=docs/results python=${PYTHON:-python}

looks() { $python -m train looks "$@"; }

# How the fillings of every model look, on its test pictures; on its card too.
for model in comod-celeba-128 comod-celeba-64 dcgan-celeba comod-svhn-64 dcgan-svhn comod-cars-64 dcgan-cars; do
    case $model in
    *-128) archive=celeba128-test.zip ;;
    *celeba*) archive=celeba64-test.zip ;;
    *svhn*) archive=svhn32-test.zip ;;
    *cars*) archive=cars64-test.zip ;;
    esac
    looks --model $model --data "$data/$archive" --sheets $out --out $out/looks.csv --record
    $python -m inpainter.hub card hub_models/$model
done

# What each part contributes, one thing at a time, on pictures that training held out.
held_out="--model comod-celeba-64 --data $data/celeba64-train.zip --last --out $out/parts.csv --masks center half"
looks $held_out --set steps=0 blend=overlay
looks $held_out --set steps=0 blend=poisson
looks $held_out --set steps=0
looks $held_out

# Against what one might use instead, at 128 pixels. The tables and one grid are kept.
work=${WORK:-runs/compare-128}
$python -m train evaluate --comod hub_models/comod-celeba-128 --data "$data/celeba128-test.zip" --images 150 --looks \
    --methods comod-proposal comod telea navier_stokes biharmonic patchmatch --batch-size 25 --out "$work"
cp "$work"/images.csv "$work"/looks.csv "$work"/table.md "$work"/center.png $out/compare-128

# Seconds per picture, and after a brush stroke on the page.
$python -m benchmarks.pictures --models dcgan-celeba comod-celeba-64 comod-celeba-128 --batch-sizes 1 8 64 --rounds 3 --out $out/speed.csv
$python -m benchmarks.strokes --out $out/strokes.csv
