"""The flags of runs of a second or two."""

SMALL = "--image-size 32 --batch-size 8 --precision fp32 --workers 0"
PRETRAIN = (
    f"{SMALL} --backbone test_resnet --epochs 3 --byol.hidden-size 32 --byol.projection-size 16 --watch.looks 3 "
    "--watch.images 32"
)
CLASSIFY = f"{SMALL} --backbone test_resnet --epochs 2 --min-steps 0 --start scratch --evaluations 2"
SEGMENT = f"{SMALL} --encoder tu-test_resnet --epochs 3 --min-steps 0 --start scratch --palette deepglobe"
STUDY = (
    f"{SMALL.replace('--batch-size 8', '')} --backbone test_resnet --starts scratch --seeds 1 --epochs 1 --min-steps 0"
)
