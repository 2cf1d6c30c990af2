"""What the metrics compute of images before they score: filters, gradients, local moments."""
