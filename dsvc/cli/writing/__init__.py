"""How any value is written, whatever it is about: names made safe, numbers, dates, cells, columns, pages."""
