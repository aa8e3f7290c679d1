"""The synthetic city: invented people, consistent lives, and the files that agencies would send.

Nobody in it exists: NHS numbers are of the test range 999, postcodes of an area that was never
issued, and every value comes from a seed. What is true (who is who, who is at risk, which groups
exploit) is written apart and read by evaluation only.
"""
