"""Semantic segmentation: loss, class weights, pictures."""
