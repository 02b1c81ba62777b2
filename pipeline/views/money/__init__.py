"""Views of money: profit, exposure, positions, and prices with what the desk did at them."""
