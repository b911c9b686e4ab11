"""The operators' doors of the registry."""
