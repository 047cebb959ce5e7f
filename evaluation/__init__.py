"""From scores to a comparison of countermeasures: test sets, figures with intervals, tables, pictures, reports."""
