"""Grids: one job of many pictures, each made with other values of up to three fields (A1111's X/Y/Z plot and prompt matrix)."""
