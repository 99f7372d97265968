"""boxpaint's detection side: from a data set to a measured use of it. Builds on `generator`, never the other way
round."""
