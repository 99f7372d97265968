"""The studio: what the command line does, on a page in the browser. Views draw; everything beside them knows no page.

main.py              the entry that Streamlit runs
workspace.py         the folder that it works in: what lies there, and that nothing outside is reached
scenario_cells.py    the two tables as cells, and their faults
jobs.py              long work in processes of its own
gallery.py           a painted data set: its objects, drawn and decided on
bare_scene.py        a scene before anything was painted in it
analysis.py          one photo that somebody uploads: caption, boxes, masks, what a classifier looks at
"""

# What the command line and the server of the pages must agree on: the environment variable that names the folder, and
# the largest upload.
FOLDER_VARIABLE = "BOXPAINT_STUDIO_FOLDER"
MAX_MEGABYTES = 20
