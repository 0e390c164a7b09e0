"""MongoDB addresses: the options of its URI specification are passed on; those of Mongoose and of old drivers are
dropped."""

from __future__ import annotations

from healthd.addresses.files import files_of
from healthd.addresses.words import APPLICATIONS, joined, names, notes, refuse_misspelt, split

_GUARDING = names("tls tlsCAFile tlsCertificateKeyFile tlsCertificateKeyFilePassword authSource authMechanism")
_WRITTEN = {
    name.lower(): name
    for name in names("""
        appName authMechanism authMechanismProperties authSource connectTimeoutMS directConnection
        heartbeatFrequencyMS loadBalanced localThresholdMS maxConnecting maxIdleTimeMS maxPoolSize maxStalenessSeconds
        minPoolSize readConcernLevel readPreference readPreferenceTags replicaSet retryReads retryWrites
        serverMonitoringMode serverSelectionTimeoutMS socketTimeoutMS srvMaxHosts srvServiceName timeoutMS
        tlsAllowInvalidCertificates tlsAllowInvalidHostnames tlsCAFile tlsCRLFile tlsCertificateKeyFile
        tlsCertificateKeyFilePassword tlsDisableOCSPEndpointCheck tlsInsecure uuidRepresentation waitQueueTimeoutMS
        wTimeoutMS zlibCompressionLevel
    """)
}
_COMPRESSION = names("compressors zlibcompressionlevel")
_OLD = "it was an option of older drivers for Node, and has no effect"
_WHY = {
    **dict.fromkeys(
        names("""
        usenewurlparser useunifiedtopology usecreateindex usefindandmodify autoreconnect
    """),
        _OLD,
    ),
    **dict.fromkeys(
        names("""
            reconnecttries reconnectinterval poolsize keepalive keepaliveinitialdelay autoindex autocreate
            buffercommands buffertimeoutms family ssl_ca sslvalidate sslca sslkey sslcert sslpass dbname nodelay
            monitorcommands forceserverobjectid ignoreundefined promotelongs promotevalues
        """),
        APPLICATIONS,
    ),
    **dict.fromkeys(_COMPRESSION, "what is asked here is too small to be compressed"),
}


def read_mongodb(uri: str) -> tuple[str, tuple[str, ...]]:
    """Return the address with the options that PyMongo knows, and the notes on the others. Raises ValueError, never
    with any part of a value."""
    from pymongo.common import URI_OPTIONS_VALIDATOR_MAP

    head, given = split(uri, "&;")
    known = {name.lower(): name for name in URI_OPTIONS_VALIDATOR_MAP if name.lower() not in _COMPRESSION}
    words = [word for word in given if word.name.lower() in known]
    aside = [word.name for word in given if word.name.lower() not in known]
    refuse_misspelt([name for name in aside if name.lower() not in _WHY], _GUARDING)
    clean = joined(head, words) if aside else uri
    return clean, notes(aside, _WHY, [as_written(name) for name in known.values()])


def without_files(uri: str) -> str:
    """Return an address without the files that it names, which the driver would open to read it."""
    head, words = split(uri, "&;")
    named = {name for name, _ in files_of(uri)}
    return joined(head, [word for word in words if word.name not in named]) if named else uri


def as_written(name: str) -> str:
    """Return an option as the specification of MongoDB's URIs writes it; PyMongo knows it in small letters."""
    return _WRITTEN.get(name.lower(), name)
