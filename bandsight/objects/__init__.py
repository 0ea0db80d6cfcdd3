"""Files on S3-compatible storage, and the copies of them that a machine keeps."""
