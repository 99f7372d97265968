"""The proof: do painted pictures make a detector better on real ones? Arms, subsets, seeds, intervals, a card."""
