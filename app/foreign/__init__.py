"""What other programs write into their pictures, as fields of our requests: one file per program, and `find.READERS` lists them.

Everything here comes from strangers: nothing is evaluated, texts are at most 1 MB, JSON at most 64 deep, graphs at most
4,000 nodes, and what does not look as expected is left out.
"""
