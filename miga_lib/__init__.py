"""Skeleton-based micro-gesture recognition, in small modules that are imported one by one: ``from miga_lib
import clips``."""
