"""The merge of one batch: classify, extract, resolve, insert, update, link, delete."""
