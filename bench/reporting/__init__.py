"""From measurements to the report: its data, tables, plots and verdict, and the comparison of two."""
