"""Good images and their scores, which a threshold or an int8 model is made from."""
