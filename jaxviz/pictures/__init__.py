"""Pictures: files and folders of them, decoded, resized, normalized, packed."""
