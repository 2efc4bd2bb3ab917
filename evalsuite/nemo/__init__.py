"""NeMo archives (`.nemo`) as models of transformers' Nemotron architecture.

`format` is what evalsuite asks about an archive (`evalsuite.checkpoints.formats`); it converts the archive
into the user's cache when it is first needed. `evalsuite convert-nemo` converts one elsewhere.
"""
