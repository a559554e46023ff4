import torch

from train.recipes.pretrained import spread


def test_the_judge_sees_how_much_the_rows_with_the_same_hole_differ():
    features = torch.randn(6, 3, 5, 5, generator=torch.Generator().manual_seed(0))
    features[2], features[4] = features[0], features[0]  # rows 0, 2 and 4 share a hole; so do rows 1, 3 and 5
    found = spread(features, 2)
    assert found.shape == (6, 1, 5, 5)
    assert (found[::2] < 1e-3).all()
    assert torch.allclose(found[3, 0], features[1::2].std(0, correction=0).mean(0), atol=1e-3)
