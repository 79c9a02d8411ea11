"""Pages of lists, which are told again while nothing has changed of what their caller sees."""
