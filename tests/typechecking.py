"""The type checker of the test suite: annotations and tensor shapes are checked at every call, an int being
good as a float."""

from beartype import BeartypeConf, beartype

check = beartype(conf=BeartypeConf(is_pep484_tower=True))
