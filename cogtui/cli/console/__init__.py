"""What commands share: output, errors, aligned tables, common options."""
