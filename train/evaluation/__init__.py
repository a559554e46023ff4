"""How good models and methods are: the tables, their figures, scores, and the choice of a snapshot."""
