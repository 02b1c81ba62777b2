"""Interactive Brokers as a venue, through TWS or IB Gateway: its wire, orders, reports and fills."""
