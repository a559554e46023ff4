"""What model cards say of a family of models, and whom to cite."""

PAPER = "https://arxiv.org/abs/1607.07539"
METHOD = f"[Semantic Image Inpainting with Deep Generative Models]({PAPER}) (Yeh et al., CVPR 2017)"
COMOD = "[co-modulated GAN](https://arxiv.org/abs/2103.10428) (Zhao et al., ICLR 2021)"

# How a family fills a hole, and what it saw in training.
SUMMARIES = {
    "comod": f"It sees what is left of a picture and fills the hole in one pass (after the {COMOD}). A search can\n"
    f"then improve the latent code, as in {METHOD}.\nIt was trained with holes of many shapes, and with pictures of "
    "which nothing was left.\n"
}
SUMMARY = (
    "It fills holes in pictures by searching for the latent code whose image agrees with what is left of the picture,\n"
    f"and blending that image into the hole: {METHOD}.\n"
    "The model never saw a hole in training, so one model serves holes of any shape.\n"
)

BETTER = (
    "For PSNR and SSIM, higher is better: they measure nearness to the truth, and reward blur. KID and the classifier "
    "tell fillings from photographs of others; 0 and 0.5 are perfect."
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
