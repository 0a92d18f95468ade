"""Names and versions of what is recorded: keys in ML Metadata, files inside artifacts, versions of their contents.

They are public: an audit of next year reads the records of today.
"""
