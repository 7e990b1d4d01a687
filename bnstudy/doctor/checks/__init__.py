"""What can be wrong, one check a file; each holds a ``CHECK`` (``bnstudy.doctor.finding.Check``)."""
