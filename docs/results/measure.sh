#!/bin/sh
# Measures what README, docs and cards say: docs/results/measure.sh FOLDER, which holds the archives of pictures.
# It goes on where it stopped. Times mean something only on a machine that does nothing else.
set -e
data=$1 out=docs/results python=${PYTHON:-python}

looks() { $python -m train looks "$@"; }

# How the fillings of every model look, on its test pictures; on its card too.
for model in comod-celeba-128 comod-celeba-64 dcgan-celeba comod-svhn-64 dcgan-svhn dcgan-cars; do
    case $model in
    *-128) archive=celeba128-test.zip ;;
    *celeba*) archive=celeba64-test.zip ;;
    *svhn*) archive=svhn32-test.zip ;;
    *cars*) archive=cars64-test.zip ;;
    esac
    looks --model $model --data "$data/$archive" --sheets $out --out $out/looks.csv --record
    $python -m inpainter.hub card hub_models/$model
done

# What helps, one thing at a time, on pictures that training held out.
held_out="--model comod-celeba-64 --data $data/celeba64-train.zip --last --out $out/parts.csv"
looks $held_out --masks center half --set steps=0
looks $held_out --masks center half --set steps=0 blend=overlay
for steps in 10 15 30 100; do looks $held_out --masks center half --set steps=$steps; done
for weight in 0 0.03 0.3 3; do looks $held_out --masks center half --set steps=30 prior_weight=$weight; done
looks $held_out --masks center half --set steps=15 refine=10
looks $held_out --masks center half --set both_ways=true

# Seconds per picture.
$python -m benchmarks.pictures --models dcgan-celeba comod-celeba-64 comod-celeba-128 --out $out/speed.csv
