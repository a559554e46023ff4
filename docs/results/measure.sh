#!/bin/sh
# Measures what README, docs and cards say: docs/results/measure.sh FOLDER, which holds the archives of pictures.
# It goes on where it stopped. Times mean something only on a machine that does nothing else.
set -e
data=$1 out=docs/results python=${PYTHON:-python}

looks() { $python -m train looks "$@"; }

# How the fillings of every model look, on its test pictures; on its card too.
for model in comod-celeba-128 comod-celeba-64 dcgan-celeba comod-svhn-64 dcgan-svhn comod-cars-128 comod-cars-64 dcgan-cars; do
    case $model in
    *celeba-128) archive=celeba128-test.zip ;;
    *cars-128) archive=cars128-test.zip ;;
    *celeba*) archive=celeba64-test.zip ;;
    *svhn*) archive=svhn32-test.zip ;;
    *cars*) archive=cars64-test.zip ;;
    esac
    looks --model $model --data "$data/$archive" --sheets $out --out $out/looks.csv --record
    $python -m inpainter.hub card hub_models/$model
done

# What each part contributes, one thing at a time, on pictures that training held out.
held_out="--model comod-celeba-64 --data $data/celeba64-train.zip --last --out $out/parts.csv --masks center half"
for settings in "steps=0 blend=overlay" "steps=0 blend=poisson" steps=0 "" steps=30 steps=100 \
    "steps=100 prior_weight=0" "steps=100 prior_weight=0.3" "steps=100 prior_weight=3" refine=20 starts=4 both_ways=true; do
    looks $held_out ${settings:+--set $settings}
done

# Against what one might use instead, at 128 pixels. The tables and three grids are kept.
work=${WORK:-runs}/compare-128
$python -m train evaluate --comod hub_models/comod-celeba-128 --data "$data/celeba128-test.zip" --images 150 --looks \
    --methods comod-proposal comod telea navier_stokes biharmonic patchmatch --batch-size 25 --out "$work"
cp "$work"/images.csv "$work"/looks.csv "$work"/table.md "$work"/center.png "$work"/half.png "$work"/random.png \
    $out/compare-128

# Every method: the paper's search and its variants, other generators, and methods without one. Two of them are trained first.
models="hub_models/dcgan-celeba hub_models/dcgan-svhn hub_models/dcgan-cars"
comods="hub_models/comod-celeba-64 hub_models/comod-svhn-64 hub_models/comod-cars-64"
tests="$data/celeba64-test.zip $data/svhn32-test.zip $data/cars64-test.zip"
runs=${WORK:-runs}
other() { $python -m train "$1" --data "$data/$2-train.zip" --images "$3" --resume --out "$runs/$1-$2" $4; }
other context-encoder celeba64 101120
other context-encoder svhn32 49984 --no-flips
other context-encoder cars64 42496
other vae celeba64 48000
other vae svhn32 32000 --no-flips
other vae cars64 32000
work=$runs/methods
$python -m train evaluate --model $models --comod $comods --data $tests --looks --images 150 \
    --context-encoder $runs/context-encoder-celeba64/model $runs/context-encoder-svhn32/model $runs/context-encoder-cars64/model \
    --vae $runs/vae-celeba64/model $runs/vae-svhn32/model $runs/vae-cars64/model --steps 100 --starts 2 --precision bfloat16 \
    --bank "$data/celeba64-train.zip" "$data/svhn32-train.zip" "$data/cars64-train.zip" \
    --methods ours no-blend no-prior unweighted l2 truncated average-of-starts refined proposal fast default both-ways \
    comod-proposal comod average-of-comods vae context_encoder nearest tv low_rank patchmatch telea \
    navier_stokes biharmonic --show comod default ours context_encoder nearest biharmonic --out "$work"
mkdir -p $out/methods
cp "$work"/images.csv "$work"/looks.csv "$work"/table.md $out/methods
for grid in celeba64-test-center celeba64-test-half celeba64-test-half-failures svhn32-test-center cars64-test-half; do
    cp "$work/$grid.png" $out
done

# The paper's search with all of its steps; sixteen pictures show that bfloat16 gives the same scores as float32.
work=${WORK:-runs}/steps-1500
$python -m train evaluate --model $models --data $tests --methods ours no-blend --steps 1500 --images 50 \
    --precision bfloat16 --out "$work"
mkdir -p $out/steps-1500
cp "$work"/images.csv "$work"/table.md $out/steps-1500
for precision in bfloat16 float32; do
    $python -m train evaluate --model hub_models/dcgan-celeba --data "$data/celeba64-test.zip" --methods ours --steps 1500 \
        --images 16 --masks center half --precision $precision --out "$work-$precision"
    cp "$work-$precision"/images.csv $out/steps-1500/$precision.csv
done

# Seconds per picture, and after a brush stroke on the page; images per second of training.
$python -m benchmarks.pictures --models dcgan-celeba comod-celeba-64 comod-celeba-128 --batch-sizes 1 8 64 --rounds 3 --out $out/speed.csv
$python -m benchmarks.strokes --out $out/strokes.csv
OMP_NUM_THREADS=1 $python -m benchmarks.training --out $out/training.csv
