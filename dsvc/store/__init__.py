"""Chunks, blocks, packs, manifests, ingest and materialisation: content in, content out."""
