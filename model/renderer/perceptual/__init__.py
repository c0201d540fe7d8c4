"""How alike pictures are: PSNR, SSIM, LPIPS on the user's weights, and what stands in for LPIPS without them."""
