"""Moving in: the installation of another program is used in place. Nothing in it is copied, moved, changed or deleted.

    record.py        what was moved in, in imports.json; flags read it at every start
    survey.py        what is in an installation, whatever program it is of
    a1111.py comfyui.py fooocus.py invokeai.py    where each program keeps what, and how it says it
    find.py          which program a folder is of
    options.py arguments.py    A1111's settings and flags, and what they are here
    move_in.py       all of it in order; page.py says what came of it
    first_values.py  what forms begin with; pictures.py: their pictures in our gallery
"""
