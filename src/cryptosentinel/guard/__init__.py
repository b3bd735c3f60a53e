"""Judge every message, tool call and decision of a conversation by where its values came from."""
