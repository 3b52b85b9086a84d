"""One module for each part of the page. A view takes a `Page` and gives a response; what it does, operations do."""
