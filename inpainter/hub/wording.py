"""Texts of model cards per model family: summaries and citations."""

PAPER = "https://arxiv.org/abs/1607.07539"
METHOD = f"[Semantic Image Inpainting with Deep Generative Models]({PAPER}) (Yeh et al., CVPR 2017)"
COMOD = "[co-modulated GAN](https://arxiv.org/abs/2103.10428) (Zhao et al., ICLR 2021)"

# How a family fills a hole, and whether it was trained with holes.
SUMMARIES = {
    "comod": f"It sees the damaged picture and fills the hole in one forward pass (after the {COMOD}). A search\n"
    f"can then improve the latent code, as in {METHOD}.\nIt was trained with holes of many shapes, and with entirely "
    "missing pictures.\n"
}
BACKBONE = (
    "Its encoder also sees the features of [EfficientNet-Lite0](https://arxiv.org/abs/1905.11946), trained on\n"
    "ImageNet, which is among the weights (Apache 2.0).\n"
)
SUMMARY = (
    "It fills holes by searching for the latent code whose image best matches the known pixels, then blending that\n"
    f"image into the hole: {METHOD}.\n"
    "It was trained without holes, so one model works for holes of any shape.\n"
)

BETTER = (
    "PSNR and SSIM measure closeness to the original: higher is better, though they reward blur. KID and the "
    "classifier tell fillings from other photographs: 0 and 0.5 are ideal."
)
CITATIONS = {
    "paper": """## Citation

```bibtex
@inproceedings{yeh2017semantic,
  title     = {Semantic Image Inpainting with Deep Generative Models},
  author    = {Yeh, Raymond A. and Chen, Chen and Lim, Teck Yian and Schwing, Alexander G. and
               Hasegawa-Johnson, Mark and Do, Minh N.},
  booktitle = {CVPR},
  year      = {2017}
}
""",
    "comod": """
@inproceedings{zhao2021large,
  title     = {Large Scale Image Completion via Co-Modulated Generative Adversarial Networks},
  author    = {Zhao, Shengyu and Cui, Jonathan and Sheng, Yilun and Dong, Yue and Liang, Xiao and
               Chang, Eric I-Chao and Xu, Yan},
  booktitle = {ICLR},
  year      = {2021}
}
""",
}
