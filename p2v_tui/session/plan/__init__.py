"""What is to be converted, in which output mode, with which keys, by which virt-v2v. It contacts no server."""
