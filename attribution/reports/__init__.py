"""Files that people open: each draws the Bridge and quotes the rows of one Attribution."""
