"""From a recipe to stage instances with content keys."""
