"""What `asymfusion view` does: frames and their masks, of recordings and live, in the Rerun viewer."""
