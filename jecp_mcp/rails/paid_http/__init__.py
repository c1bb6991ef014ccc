"""What every road to an HTTP merchant has in common: the request, its unpaid probe, hints, answers, refusals."""
