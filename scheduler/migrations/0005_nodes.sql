ALTER TABLE {history} ADD COLUMN node {text};
