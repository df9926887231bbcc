"""What a developer runs, none of it part of the product: see the README beside this file."""
