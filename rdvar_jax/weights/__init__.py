"""Weight files: torch and safetensors, mapped to the trees of arrays that the models take."""
