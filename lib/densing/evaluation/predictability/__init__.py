"""How closely a score follows scale, from the likelihoods of the choices to accuracy."""
