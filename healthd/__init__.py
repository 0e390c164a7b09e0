"""healthd: the monitoring daemon. It serves health with gates off or broken and knows nothing of them."""

__all__ = ["__version__"]

try:
    from healthd._version import version as __version__  # written by the build, from the tag
except ImportError:  # a checkout that nobody built
    __version__ = "0.0.0"
