"""What a person or a script reads: records, pictures of pictures, plots."""
